"""A world from one seed: stacks, links, programs, intruders and faults, and what must hold in it.

`draws` decides what there is, by names; `application`, `intruders` and `faults` are the actors;
`world` builds them, runs them and judges; `explore` runs many worlds in processes of their own, and
deletes from a failing one what it does not need. `make sim` is its command.
"""
