"""What `usertcp demo` is made of.

    demo.py (parent)  --starts-->  inside.py (child, alone in its namespace)  --starts-->  peer.py
    shows events      <--JSON lines on a pipe--                               --starts-->  curl

`site` is what the servers serve, `steps` what is tried, `ledger` what is remembered of connections,
`report` the facts at the end, `view` what a terminal shows.
"""
