"""Naming what orders were for: the catalogue of shapes, the division of orders into ideas, what became of them.

constraints  the small language in which the catalogue states conditions
taxonomy     the catalogue, typed
shapes       legs to the name of a shape
legs         what the classifier is given: orders, position changes, corrections
tickets      the same in whole numbers
holdings     open strategies of one account and underlying
positions    holdings of unknown origin to the strategies that they most likely are
readings     the vocabulary of what a run of orders may have been
openings, closings, rolls, candidates   every reading of a run
weights      how probable the parts of a reading are
partition    the best division of a run into readings, and the probability of each
decisions    what was decided of a run
replay       one account and underlying, run by run
calibration  posterior probabilities to confidences
story        evidence in figures
classify     groups to rows of `order_strategy_map`
order_file   the file of `apex classify`
telling, members, card_legs, cards, payoff, chain_book, chains   strategies and chains as people see them
"""
