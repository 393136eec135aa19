"""Tests of Hostwright: real Git, real ssh, real systemd; what is faked is time and the outside internet."""
