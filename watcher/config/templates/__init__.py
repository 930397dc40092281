"""Templates: what an operator writes with `{{ holes }}` in it, read once and filled for each event.

Jinja2's own parser reads them; what is read is filled here, by closures over plain values (text, numbers,
truth, null, lists, mappings). There is no attribute, no call and no object of Python's in it, so none can be
reached. Everything counts against a budget of steps and letters: the same template and event give the same on
any machine, however fast it is."""
