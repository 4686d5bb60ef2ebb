"""Encoded pictures: packets, containers, single images."""
