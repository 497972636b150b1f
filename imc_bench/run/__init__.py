"""A run at work: from a request to units, their rows, and whoever measures them.

A `Runner` measures one unit of a plan and knows no store. `drive` hands units of a store out to
workers and is the only one that writes; where they work, in this process, in processes beside it
or in a Ray cluster, is exchangeable.
"""
