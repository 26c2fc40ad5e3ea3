"""The sections of an Activity Flex statement that are known to exist; any other one is told to the person."""

KNOWN_SECTIONS = frozenset({
    "AccountInformation", "Adjustments", "AssetSummary", "CFDCharges", "CashReport", "CashTransactions",
    "ChangeInDividendAccruals", "ChangeInNAV", "ChangeInPositionValues", "ClientFees", "ClientFeesDetail",
    "CommissionCredits", "CommissionDetails", "ComplexPositions", "ConversionRates", "CorporateActions",
    "CreditSpreads", "DebitCardActivities", "DepositsOnHold", "EquitySummaryInBase", "ExcessFundsSweep",
    "FIFOPerformanceSummaryInBase", "FdicInsuredDepositsByBank", "FxLots", "FxPositions", "FxTransactions",
    "GrowthOfAccount", "HKIPOOpenSubscriptions", "HKIPOSubscriptionActivity", "HardToBorrowDetails",
    "HardToBorrowFees", "HardToBorrowMarkupDetails", "IBGNoteTransactions", "IncentiveCouponAccrualDetails",
    "InterestAccruals", "KYC", "LinkingDTOs", "MTDYTDPerformanceSummary", "MTMPerformanceSummaryInBase",
    "MutualFundDividendDetails", "NetStockPositionSummary", "OpenDividendAccruals", "OpenPositions",
    "OptionEAE", "Order", "Orders", "OtherFees", "PendingExcercises", "PriorPeriodPositions",
    "RoutingCommissions", "SLBActivities", "SLBCollaterals", "SLBFees", "SLBOpenContracts", "SalesTaxes",
    "SecuritiesInfo", "SoftDollars", "StmtFunds", "StockGrantActivities", "SymbolSummary", "TestResults",
    "TierInterestDetails", "Trade", "TradeConfirms", "TradeTransfers", "Trades", "TransactionFees",
    "TransactionTaxes", "Transfers", "UnbookedTrades", "UnbundledCommissionDetails", "UnsettledTransfers",
})  # fmt: skip
