"""An example of a Saqiya plug-in: a site and a log format of your own."""
