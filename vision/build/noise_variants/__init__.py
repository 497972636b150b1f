"""Noises as other makers produce them, one file per physics, each at a wanted mean squared error.

A variant is a function of planes (channels, H, W) in [0, 1], the wanted mean squared error of the
result in squared full scale, and a generator that draws its shape; it returns planes of that shape.
"""
