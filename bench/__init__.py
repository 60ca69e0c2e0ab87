"""How fast is it, beside what people use today?

    machine       the facts that figures depend on
    postgres      one server for all, one fresh database per measurement
    contestants/  tintype, procrastinate, pgqueuer: the same acts under the same names
    subject       a process that performs one act of one contestant and tells what it took
    load          a process that sends requests over HTTP and times the answers
    settle, enqueue, backlog, limit, http
                  the sections: what is measured, in which order, and what must hold afterwards
    figures       medians and spread
    report        the table and the JSON

Every section interleaves its contestants round by round, so that drift of the machine hits all
alike. A measurement whose result is wrong (a job lost, a ledger that does not add up) stops the
run: a fast wrong answer is no figure.
"""
