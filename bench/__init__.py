"""How fast is it, beside what people use today?

    machine       the facts that figures depend on
    postgres      one server for all, one fresh database per measurement
    served        `tintype serve` as users start it, and its keys
    contestants/  tintype, procrastinate, pgqueuer: the same acts under the same names
    subject       a process that performs one act of one contestant and tells what it took
    clients/      processes that ask a server over HTTP and websockets, and time the answers
    peers/        what the doors are measured beside: websockets, asyncpg, Starlette, nginx
    usage         the memory and the processor time of a process
    limit, settle, enqueue, backlog, http, realtime, capture, rest, storage
                  the sections: what is measured, in which order, and what must hold afterwards
    figures       medians and spread
    report        the table and the JSON

Every section interleaves its contestants round by round, so that drift of the machine hits all
alike. A measurement whose result is wrong (a job lost, a ledger that does not add up, a change that
did not come) stops the run: a fast wrong answer is no figure.
"""
