"""Pages and endpoints about one person and one message: HTTP in, one call, an answer.

Flask lives here and in `campaigns.web`, nowhere else below `wsgi`. A view parses, calls one function, answers; it owns
the transaction. `edge` hands out the session, `words` turns values into what people read, `signin` knows who asks,
`people` is the operators' view of a person. Start with `edge`.
"""
