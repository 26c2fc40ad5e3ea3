"""Naming what orders were for: the catalogue of shapes, the matching of legs, the grouping of orders.

constraints  the small language in which the catalogue states conditions
taxonomy     the catalogue, typed
shapes       legs to the name of a shape
legs         what the classifier is given: orders and position changes as contracts
grouping     orders to groups (replaceable)
book         positions and open strategies, replayed in time
verdict      what one group is, given the book
classify     groups to rows of `order_strategy_map`
"""
