"""HDF5: robosuite, robomimic, ALOHA and one-try files in, robomimic out."""
