"""Plug-ins for other people's software, one module each; found by entry point, never imported by users.

Empty until the first of them lands: the package is here so that the wheel has both its roots from the start.
"""
