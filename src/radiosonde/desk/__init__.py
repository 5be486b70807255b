"""The desk: pages for the engineer on call, served on this machine from stores that are only read.

`make_app` makes the web application over the board that `LookingProcess` keeps up to date in the background. Pages: the fleet, a model, an incident
with its runbook, and the stores. Imported only by the command line.
"""

from radiosonde.desk.app import make_app
from radiosonde.desk.looking import Looking
from radiosonde.desk.process import LookingProcess, look_for_desk
from radiosonde.desk.serving import serve

__all__ = ["Looking", "LookingProcess", "look_for_desk", "make_app", "serve"]
