"""Plug-ins for other people's software, one module each; found by entry point, never imported by users.

* A plug-in for a model library is a subclass of `radiosonde_integrations._instrumentor.ModelInstrumentor`: it declares which classes of the
  library predict, and how to describe a model. Outermost calls, patching and undoing are the same for all.
* Nothing here imports a library it instruments before its user has.
"""
