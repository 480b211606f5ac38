"""Certificates of one net under one pool after the other."""
