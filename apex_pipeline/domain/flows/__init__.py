"""Order flow with known truth, and how well a classifier finds that truth again.

levels     how hard a flow is: the habits of the people behind it
market     what can be traded: underlyings, strikes, expiries, model prices, sessions
recipes    which strategies are opened how often, and with which legs
holdings   what an account holds and which strategy each contract belongs to
plans      decisions before they are sent
closing    how a strategy is closed
rolling    where it is rolled to
desk       what an account decides to do next: open, close, roll
sending    how a decision becomes orders and fills
document   the file that `apex classify` reads
generate   a whole flow: the file and the truth behind it
score      the measures of predictions against truth
"""
