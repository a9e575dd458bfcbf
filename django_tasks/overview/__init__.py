"""How all of it is: asked once, for the admin's pages, the command line and the endpoints alike."""
