"""Many people: who, what, when, how did it go.

`rules` and `lifecycle` are pure; `segments` turns a rule into one SQL statement; `audience` takes the snapshot;
`operations` is what operators do. It writes mandates and pending deliveries and never sends: that is `mailer.delivery`.
"""
