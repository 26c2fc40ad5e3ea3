"""The attributes that each section of an Activity statement is known to have, and the words in them. Data only.

The catalogue follows the types of ibflex (csingley/ibflex) and public statements; what is not in it loads all the
same and is told as drift.
"""

from collections.abc import Mapping

ACCOUNT = frozenset({"accountId", "acctAlias", "model"})
_VALUED = frozenset({"currency", "fxRateToBase", "levelOfDetail", "code"})
_CONTRACT = frozenset({
    "assetCategory", "subCategory", "symbol", "description", "conid", "securityID", "securityIDType", "cusip", "isin",
    "sedol", "figi", "listingExchange", "underlyingConid", "underlyingSymbol", "underlyingSecurityID",
    "underlyingListingExchange", "issuer", "issuerCountryCode", "multiplier", "strike", "expiry", "putCall",
    "principalAdjustFactor", "serialNumber", "deliveryType", "commodityType", "fineness", "weight",
})  # fmt: skip


def _plain(*names: str) -> frozenset[str]:
    """A row about an account or a currency."""
    return ACCOUNT | _VALUED | {name for text in names for name in text.split()}


def _traded(*names: str) -> frozenset[str]:
    """A row about a contract."""
    return _plain(*names) | _CONTRACT


_SUMMARY = (
    "accruedInt allocatedTo amount brokerClearingCommission brokerExecutionCommission brokerageOrderID buySell "
    "changeInPrice changeInQuantity clearingFirmID closePrice commission commissionCurrency cost dateTime exchOrderId "
    "exchange execID extExecID fifoPnlRealized fxPnl holdingPeriodDateTime ibCommission ibCommissionCurrency ibExecID "
    "ibOrderID initialInvestment isAPIOrder mtmPnl netCash netCashInBase notes openCloseIndicator openDateTime orderID "
    "orderReference orderTime orderType origOrderID origTradeDate origTradeID origTradePrice origTransactionID "
    "otherCommission positionActionID price proceeds quantity relatedTradeID relatedTransactionID reportDate rtn "
    "settleDate settleDateTarget tax taxes thirdPartyClearingCommission thirdPartyExecutionCommission "
    "thirdPartyRegulatoryCommission tradeDate tradeID tradeMoney tradePrice tradeTime traderID transactionID "
    "transactionType volatilityOrderLink whenRealized whenReopened capitalGainsPnl orderPlacementTime TradePrice"
)
_TRANSFER = (
    "account accountName capitalGainsPnl cashTransfer clientReference company date dateTime deliveringBroker direction "
    "fxPnl pnlAmount pnlAmountInBase positionAmount positionAmountInBase positionInstructionID "
    "positionInstructionSetID quantity reportDate settleDate transactionID transferPrice type"
)
_TAX = "date quantity reportDate source taxAmount taxDescription tradeId tradePrice"
_CASH_LINES = (
    "accountTransfers advisorFee advisorFees avgCreditBalance avgDebitBalance billPay billableCommissions "
    "billableSalesTax bondInterest brokerFees brokerInterest carbonCredits cashSettlingMtm cfdCharges clientFees "
    "commissionCreditsRedemption commissions debitCardActivity depositWithdrawals deposits dividends donations "
    "endingCash endingSettledCash excessFundSweep feesReceivables fxTranslationGainLoss insuredDepositInteres "
    "insuredDepositInterest internalTransfers ipoSubscription linkingAdjustments netTradesPurchases netTradesSales "
    "other otherFees otherIncome paxosTransfers paymentInLieu realizedForexVm realizedVm referralFee salesTax "
    "slbEndingCashCollateral slbNetCash slbNetSecuritiesLentActivity slbNetSettledCash slbStartingCashCollateral "
    "startingCash taxReceivables transactionTax withdrawals withholding871m withholdingCollectedTax withholdingTax"
)
_EQUITY_LINES = (
    "cash slbCashCollateral stock slbDirectSecuritiesBorrowed slbDirectSecuritiesLent options bonds "
    "bondInterestAccrualsComponent notes incentiveCouponAccruals interestAccruals softDollars dividendAccruals total "
    "commodities funds forexCfdUnrealizedPl brokerInterestAccrualsComponent brokerCashComponent "
    "brokerFeesAccrualsComponent eventContractInterestAccruals marginFinancingChargeAccruals cfdUnrealizedPl "
    "insuredBankDepositRedemptionCashComponent fdicInsuredBankSweepAccount fdicInsuredBankSweepAccountCashComponent "
    "fdicInsuredAccountInterestAccruals fdicInsuredAccountInterestAccrualsComponent ipoSubscription crypto physDel "
    "liteSurchargeAccruals"
)
CASH_PARTS = ("", "Sec", "Com", "IBUKL", "Paxos", "MTD", "YTD")
"""What ends the name of a line of the cash report: a segment of the account, or the month or year to date."""


def _parts_of(lines: str, parts: tuple[str, ...]) -> str:
    return " ".join(f"{line}{part}" for line in lines.split() for part in parts)


ATTRIBUTES: Mapping[str, frozenset[str]] = {
    "AccountInformation": _plain(
        "accountCapabilities accountRepName accountRepPhone accountType city cityResidentialAddress country "
        "countryResidentialAddress customerType dateClosed dateFunded dateOpened ibEntity lastTradedDate masterName "
        "name postalCode postalCodeResidentialAddress primaryEmail registeredRepName registeredRepPhone state "
        "stateResidentialAddress street street2 street2ResidentialAddress streetResidentialAddress tradingPermissions"
    ),
    "CFDCharge": _traded(
        "activityDescription amount clientReference date dateTime paid received reportDate total tradeID transactionID "
        "transactionId"
    ),
    "CashReportCurrency": _plain("fromDate toDate", _parts_of(_CASH_LINES, CASH_PARTS)),
    "CashTransaction": _traded(
        "actionID amount availableForTradingDate clientReference dateTime exDate reportDate settleDate tradeID "
        "transactionID type"
    ),
    "ChangeInDividendAccrual": _traded(
        "actionID date exDate fee fromAcct grossAmount grossRate netAmount payDate quantity reportDate tax toAcct"
    ),
    "ChangeInNAV": _plain(
        "advisorFees assetTransfers billPay billableSalesTax brokerFees carbonCredits changeInBrokerFeeAccruals "
        "changeInDividendAccruals changeInIncentiveCouponAccruals changeInInterestAccruals changeInUnrealized "
        "clientFees commissionCreditsRedemption commissionReceivables commissions commissionsAtPaxos "
        "corporateActionProceeds costAdjustments debitCardActivity depositsWithdrawals dividends donations endingValue "
        "excessFundSweep feesReceivables forexCommissions fromDate fxTranslation grantActivity interest "
        "internalCashTransfers linkingAdjustments mtm mtmAtPaxos netFxTrading other otherFees otherIncome "
        "paxosTransfers realized referralFee salesTax softDollars startingValue taxReceivables toDate transactionTax "
        "transferredPnlAdjustments twr withholding871m withholdingTax withholdingTaxCollected"
    ),
    "ChangeInPositionValue": _traded(
        "accountTransfers corporateActions endOfPeriodValue futurePriceAdjustments fxTranslationPnl linkingAdjustments "
        "mtmPriorPeriodPositions mtmTransactions other priorPeriodValue settledCash transactions"
    ),
    "ClientFee": _traded(
        "buySell date execID expense expenseInBase expenseIndicator feeType net netInBase proceeds quantity revenue "
        "revenueInBase settleDate tradeID tradePrice"
    ),
    "ClientFeesDetail": _plain(
        "brokerExecutionCharge clearingCharge date execID other regFINRATradingActivityFee regOther "
        "regSection31TransactionFee thirdPartyExecutionCharge thirdPartyRegulatoryCharge totalCommission totalNet "
        "totalNetInBase totalRevenue tradeID"
    ),
    "ConversionRate": _plain("fromCurrency rate reportDate toCurrency"),
    "CorporateAction": _traded(
        "actionDescription actionID amount capitalGainsPnl costBasis dateTime fifoPnlRealized fxPnl mtmPnl proceeds "
        "quantity reportDate transactionID type value"
    ),
    "DebitCardActivity": _traded(
        "amount category merchantNameLocation postingDate reportDate status transactionDateTime"
    ),
    "EquitySummaryByReportDateInBase": _plain("reportDate", _parts_of(_EQUITY_LINES, ("", "Long", "Short"))),
    "FIFOPerformanceSummaryUnderlying": _traded(
        "costAdj realizedLTLoss realizedLTProfit realizedSTLoss realizedSTProfit reportDate totalCapitalGainsPnl "
        "totalFifoPnl totalFxPnl totalRealizedCapitalGainsPnl totalRealizedFxPnl totalRealizedPnl "
        "totalUnrealizedCapitalGainsPnl totalUnrealizedFxPnl totalUnrealizedPnl transferredCapitalGainsPnl "
        "transferredFxPnl transferredPnl unrealizedLTLoss unrealizedLTProfit unrealizedLoss unrealizedProfit "
        "unrealizedSTLoss unrealizedSTProfit"
    ),
    "FxLot": _traded(
        "closePrice costBasis costPrice functionalCurrency fxCurrency lotDescription lotOpenDateTime quantity "
        "reportDate unrealizedPL value"
    ),
    "FxPosition": _traded(
        "closePrice costBasis costPrice functionalCurrency fxCurrency quantity reportDate unrealizedPL value"
    ),
    "FxTransaction": _traded(
        "activityDescription cost dateTime functionalCurrency fxCurrency proceeds quantity realizedPL reportDate"
    ),
    "HardToBorrowDetail": _traded("borrowFee borrowFeeRate fromAcct price quantity toAcct value valueDate"),
    "InterestAccrualsCurrency": _plain(
        "accrualReversal endingAccrualBalance fromDate fxTranslation interestAccrued startingAccrualBalance toDate"
    ),
    "Lot": _traded(_SUMMARY),
    "WashSale": _traded(_SUMMARY),
    "SymbolSummary": _traded(_SUMMARY),
    "AssetSummary": _traded(_SUMMARY),
    "MTDYTDPerformanceSummaryUnderlying": _traded(
        "brokerFees brokerFeesCom brokerFeesMTD brokerFeesSec brokerFeesYTD mtmMTD mtmYTD realLTMTD realLTYTD "
        "realSTMTD realSTYTD realizedCapitalGainsPnlMTD realizedCapitalGainsPnlYTD realizedFxPnlMTD realizedFxPnlYTD "
        "realizedPnlMTD realizedPnlYTD"
    ),
    "MTMPerformanceSummaryUnderlying": _traded(
        "closePrice closeQuantity commissions corpActionMtm dividends other otherWithAccruals prevClosePrice "
        "prevCloseQuantity priorOpenMtm reportDate total totalWithAccruals transactionMtm"
    ),
    "NetStockPosition": _traded("netShares reportDate sharesAtIb sharesBorrowed sharesLent"),
    "OpenDividendAccrual": _traded(
        "actionID exDate fee fromAcct grossAmount grossRate netAmount payDate quantity reportDate tax toAcct"
    ),
    "OpenPosition": _traded(
        "accruedInt costBasisMoney costBasisPrice fifoPnlUnrealized holdingPeriodDateTime markPrice openDateTime "
        "openPrice originatingOrderID originatingTransactionID percentOfNAV position positionValue positionValueInBase "
        "reportDate side unrealizedCapitalGainsPnl unrealizedlFxPnl vestingDate"
    ),
    "OptionEAE": _traded(
        "capitalGainsPnl commisionsAndTax costBasis date fxPnl initialInvestment markPrice mtmPnl origTransactionID "
        "positionActionID proceeds quantity realizedPnl relatedTradeID relatedTransactionID rtn tradeID tradePrice "
        "transactionType"
    ),
    "PriorPeriodPosition": _traded("date price priorMtmPnl"),
    "SLBActivity": _traded(
        "activityDescription collateralAmount date exchange feeRate markCurrentPrice markPriorPrice markQuantity "
        "quantity slbTransactionId type"
    ),
    "SLBFee": _traded(
        "carryCharge collateralAmount exchange fee feeRate fromAcct grossLendFee marketFeeRate netLendFee "
        "netLendFeeRate quantity startDate ticketCharge toAcct totalCharges type uniqueID valueDate"
    ),
    "SLBOpenContract": _traded("collateralAmount date excessQuantity exchange feeRate quantity slbTransactionId type"),
    "SalesTax": _traded(
        "country date payer salesTax taxRate taxType taxableAmount taxableDescription taxableTransactionID "
        "transactionID"
    ),
    "SecurityInfo": _traded(
        "initialInvestment issueDate maturity origTransactionID relatedTradeID relatedTransactionID rtn "
        "settlementPolicyMethod type underlyingCategory"
    ),
    "StatementOfFundsLine": _traded(
        "actionID activityCode activityDescription amount balance buySell credit date debit orderID origTransactionID "
        "relatedTradeID relatedTransactionID reportDate settleDate tradeCode tradeCommission tradeGross tradeID "
        "tradePrice tradeQuantity tradeTax transactionID"
    ),
    "StockGrantActivity": _traded("activityDescription awardDate price quantity reportDate value vestingDate"),
    "TierInterestDetail": _plain(
        "balanceThreshold commoditiesInterest commoditiesPrincipal fromAcct ibuklInterest ibuklPrincipal interestType "
        "marginBalance rate reportDate securitiesInterest securitiesPrincipal tierBreak toAcct totalInterest "
        "totalPrincipal valueDate"
    ),
    "TradeTransfer": _traded(
        "awayBrokerCommission brokerAccount brokerName clearingFirmID closePrice cost deliveredReceived direction "
        "exchange fifoPnlRealized fxPnl holdingPeriodDateTime ibCommission ibCommissionCurrency mtmPnl netCash "
        "netTradeMoney netTradeMoneyInBase netTradePrice notes openCloseIndicator openDateTime origOrderID "
        "origTradeDate origTradeID origTradePrice proceeds quantity regulatoryFee reportDate settleDateTarget taxes "
        "tradeDate tradeID tradeMoney tradePrice tradeTime transactionID transactionType whenRealized whenReopened"
    ),
    "TransactionTax": _traded(_TAX),
    "TransactionTaxDetail": _traded(_TAX),
    "Transfer": _traded(_TRANSFER),
    "TransferLot": _traded(_TRANSFER),
    "UnbundledCommissionDetail": _traded(
        "brokerClearingCharge brokerExecutionCharge buySell dateTime exchange orderReference other price quantity "
        "regFINRATradingActivityFee regOther regSection31TransactionFee thirdPartyClearingCharge "
        "thirdPartyExecutionCharge thirdPartyRegulatoryCharge totalCommission tradeID"
    ),
    "UnsettledTransfer": _traded(
        "contra direction quantity stage targetSettlement tradeAmount tradeAmountInBase tradeDate tradePrice "
        "transactionID"
    ),
}
"""By the name of the element. An element that is not listed has no catalogue, and its attributes are not judged."""

TEXTS = frozenset({
    *ACCOUNT, *_CONTRACT - {"multiplier", "strike", "principalAdjustFactor", "fineness"}, *_VALUED - {"fxRateToBase"},
    "actionDescription", "activityDescription", "allocatedTo", "buySell", "commissionCurrency", "exchOrderId",
    "exchange", "fromAcct", "functionalCurrency", "fxCurrency", "ibCommissionCurrency", "initialInvestment",
    "isAPIOrder", "lotDescription", "notes", "openCloseIndicator", "orderReference", "orderType", "rtn", "side",
    "toAcct", "tradeCode", "transactionType", "type", "volatilityOrderLink", "whenRealized", "whenReopened",
})  # fmt: skip
"""Attributes that are never an amount, whatever they look like; so are those whose name ends as in `TEXT_ENDINGS`."""

TEXT_ENDINGS = ("ID", "Id", "Date", "Time", "date", "DateTarget")

TAGS: Mapping[str, frozenset[str]] = {
    "CashReport": frozenset({"CashReportCurrency"}),
    "CashTransactions": frozenset({"CashTransaction"}),
    "ChangeInDividendAccruals": frozenset({"ChangeInDividendAccrual"}),
    "ChangeInNAV": frozenset({"ChangeInNAV"}),
    "ChangeInPositionValues": frozenset({"ChangeInPositionValue"}),
    "ConversionRates": frozenset({"ConversionRate"}),
    "CorporateActions": frozenset({"CorporateAction"}),
    "EquitySummaryInBase": frozenset({"EquitySummaryByReportDateInBase"}),
    "FIFOPerformanceSummaryInBase": frozenset({"FIFOPerformanceSummaryUnderlying"}),
    "InterestAccruals": frozenset({"InterestAccrualsCurrency"}),
    "MTDYTDPerformanceSummary": frozenset({"MTDYTDPerformanceSummaryUnderlying"}),
    "MTMPerformanceSummaryInBase": frozenset({"MTMPerformanceSummaryUnderlying"}),
    "NetStockPositionSummary": frozenset({"NetStockPosition"}),
    "OpenDividendAccruals": frozenset({"OpenDividendAccrual"}),
    "OpenPositions": frozenset({"OpenPosition"}),
    "OptionEAE": frozenset({"OptionEAE"}),
    "PriorPeriodPositions": frozenset({"PriorPeriodPosition"}),
    "SecuritiesInfo": frozenset({"SecurityInfo"}),
    "StmtFunds": frozenset({"StatementOfFundsLine"}),
    "TradeTransfers": frozenset({"TradeTransfer"}),
    "TransactionTaxes": frozenset({"TransactionTax", "TransactionTaxDetail"}),
    "Transfers": frozenset({"Transfer"}),
    "UnbundledCommissionDetails": frozenset({"UnbundledCommissionDetail"}),
}
"""The elements of a section that are its rows. What else stands in it is kept as it came and never read as one."""

PARTS = frozenset({"TransferLot", "TransferLots"})
"""Elements that repeat in pieces what the row around them says whole."""

CORPORATE_ACTIONS = frozenset({
    "BC", "BM", "CA", "CC", "CD", "CH", "CI", "CO", "CP", "CS", "CT", "DI", "DW", "ED", "FA", "FI", "FS", "GV", "HD",
    "HI", "IC", "OR", "PI", "PV", "RI", "RS", "SD", "SO", "SR", "TC", "TI", "TM", "TO",
})  # fmt: skip
OPTION_EVENTS = frozenset({"Assignment", "Exercise", "Expiration", "Sell", "Buy", "Cash Settlement"})
TRANSFER_TYPES = frozenset({"INTERCOMPANY", "INTERNAL", "ACATS", "ATON", "FOP", "OTC"})
DIRECTIONS = frozenset({"IN", "OUT"})
HOLDINGS = frozenset({"LONG", "SHORT"})
LEVELS = frozenset({
    "ASSET_SUMMARY", "BASECURRENCY", "CLOSED_LOT", "CURRENCY", "DETAIL", "EXECUTION", "LOT", "ORDER", "SUMMARY",
    "SYMBOL_SUMMARY", "TRANSACTION", "TRANSFER", "WASH_SALE",
})  # fmt: skip
"""In capitals, as the rules compare them; so are the two before."""
