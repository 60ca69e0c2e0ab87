"""Who asks the server that is measured? Each module is a process of its own.

    load      a crowd of apps that each wait for the answer before they ask again
    watch     subscribers of changes, and a writer that commits at a steady pace
    listen    one subscriber of the jobs' changes, while others work
    fanout    one sender and a crowd of sockets that hear it
    transfer  one client that sends or fetches one large file
    sockets   the websocket that watch, listen and fanout speak

All are lean enough not to be what is measured, and all look whether the answers are right.
"""
