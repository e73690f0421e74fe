"""What providers and mail servers tell us, applied once each, in any order, to the same end.

`store` keeps what came before it is answered; `sendgrid` and `mails` translate it, once, into the few words of
`facts`; `applying` is what the clock runs; `settling` writes it down. It may only ever reduce mail: nothing here
adds consent, lifts an opt-out or makes a person. Start with `facts`, then `settling`.
"""
