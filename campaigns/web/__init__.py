"""Pages about campaigns: what needs a person today, the list, the form, one campaign in each of its states.

A campaign has one address; its state decides what is there. A change of state is a noun of its own that is posted to
(`POST /campaigns/7/approval`) and answered with 303. `readings` is what pages read, `acts` what buttons do. Start
with `routes`.
"""
