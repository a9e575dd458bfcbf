"""`make demo`: comments through the real site and a real worker, and the sums afterwards.

    python -m testproject.demo          post 500 comments, wait for their tasks, print the table
    python -m testproject.demo site     the same site to look at, until Ctrl-C

The parts: `posts` says what is posted and what is to become of it, `visitor` posts as a browser does, `site`
holds the database and the processes, `evidence` gathers what happened, `tally` adds it up and names what does
not agree, `report` says it.
"""
