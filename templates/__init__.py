"""Data only: pages, mails and their pictures. No code lives here.

`email/` holds the mails (MJML and text, joined by `mailer.starters`), `pages/` what is shown in a browser,
`static/` what is served as it is; `static/mail/` are the pictures of mails, drawn for this project.
"""
