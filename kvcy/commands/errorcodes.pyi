# Nothing of this module is meant for Python; see the .pxd.
