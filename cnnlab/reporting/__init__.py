"""Tables, figures and the self-contained report of one experiment's results.

`tables.plain` for the terminal, `figures` for matplotlib figures, `report.write` for
report.html. All take the content of results.json as a dict; importing this package or
`tables` loads no matplotlib.
"""
