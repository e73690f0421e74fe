"""The pages that customers reach from a mail: stop, choose, see why. No sign-in, no cookie, no script.

A signed link is all they need, and a link may only ever reduce mail. GET shows, POST acts, nothing redirects. What
is shown for a valid opt-out link hangs on the link alone, so that nobody learns from it who is still a customer.
Words are in templates/pages/public. Start with `unsubscribe`; `visit` is what every page here needs.
"""
