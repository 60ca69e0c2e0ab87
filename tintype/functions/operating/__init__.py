"""What may an operator see and do?

The parts of the function `operator`. A View is asked for and reads; an Act changes something, by
the hands that the rest of the server has, and is an event. Each is the body of a request, with the
answer beside it: `load` (how much is going on), `hands` (workers, providers, models), `work`
(jobs), `ending` (acts on jobs), `people` (users and their credits), `stores` (ledger, storage,
logs).

What a view may look at is bounded: of a busy day it sees the newest jobs and says so.
"""

from tintype.functions.operating import ending, hands, load, people, stores, work
from tintype.functions.operating.asking import Act, Operator, View, operator_of

VIEWS = (
    load.AskOverview
    | load.AskThroughput
    | hands.AskWorkers
    | hands.AskProviders
    | hands.AskModels
    | work.AskJobs
    | work.AskJob
    | work.AskFailures
    | people.AskUsers
    | people.AskUser
    | stores.AskLedger
    | stores.AskStorage
    | stores.AskLogs
)
ACTS = (
    ending.Cancel
    | ending.Requeue
    | ending.RetryNow
    | people.Grant
    | hands.Unpause
    | hands.RevokeWorker
)
ANSWERS = (
    load.Overview,
    load.Throughput,
    hands.Workers,
    hands.Providers,
    hands.Models,
    work.Jobs,
    work.Whole,
    work.Failures,
    people.Users,
    people.Person,
    stores.Ledger,
    stores.Stored,
    stores.Logs,
    ending.Outcomes,
    people.Granted,
    hands.Done,
)

__all__ = ["ACTS", "ANSWERS", "VIEWS", "Act", "Operator", "View", "operator_of"]
