"""The words of Interactive Brokers that are known to exist: attributes of trade and order rows, and their values.

Data only. A word belongs here if IB documents it or public statements show it, and nothing is lost by what the
rules make of it; any other one is told as drift.
"""

from apex_pipeline.brokers.ib.symbols import ASSET_CLASSES

ATTRIBUTES = frozenset({
    "accountId", "acctAlias", "accruedInt", "allocatedTo", "amount", "assetCategory", "brokerClearingCommission",
    "brokerExecutionCommission", "brokerageOrderID", "buySell", "capitalGainsPnl", "changeInPrice", "changeInQuantity",
    "clearingFirmID", "closePrice", "code", "commission", "commissionCurrency", "commodityType", "conid", "cost",
    "currency", "cusip", "dateTime", "deliveryType", "description", "exchOrderId", "exchange", "execID", "expiry",
    "extExecID", "fifoPnlRealized", "figi", "fineness", "fxPnl", "fxRateToBase", "holdingPeriodDateTime",
    "ibCommission", "ibCommissionCurrency", "ibExecID", "ibOrderID", "initialInvestment", "isAPIOrder", "isin",
    "issuer", "issuerCountryCode", "levelOfDetail", "listingExchange", "model", "mtmPnl", "multiplier", "netCash",
    "netCashInBase", "notes", "openCloseIndicator", "openDateTime", "orderID", "orderPlacementTime", "orderReference",
    "orderTime", "orderType", "origOrderID", "origTradeDate", "origTradeID", "origTradePrice", "origTransactionID",
    "otherCommission", "positionActionID", "price", "principalAdjustFactor", "proceeds", "putCall", "quantity",
    "relatedTradeID", "relatedTransactionID", "reportDate", "rtn", "securityID", "securityIDType", "sedol",
    "serialNumber", "settleDate", "settleDateTarget", "strike", "subCategory", "symbol", "tax", "taxes",
    "thirdPartyClearingCommission", "thirdPartyExecutionCommission", "thirdPartyRegulatoryCommission", "tradeDate",
    "tradeID", "tradeMoney", "tradePrice", "tradeTime", "traderID", "transactionID", "transactionType",
    "underlyingConid", "underlyingListingExchange", "underlyingSecurityID", "underlyingSymbol", "volatilityOrderLink",
    "weight", "whenRealized", "whenReopened",
})  # fmt: skip
"""Attributes of Trade and Order elements."""

TRANSACTION_TYPES = frozenset(
    {"ExchTrade", "BookTrade", "DvpTrade", "FracShare", "FracShareCancel", "TradeCancel", "TradeCorrect"}
)
ASSET_CATEGORIES = frozenset({*ASSET_CLASSES, "CMDTY"})
"""Those with an asset class of their own, and metals, which have none."""

SIDES = frozenset({"BUY", "SELL", "BUY (CA.)", "SELL (CA.)"})
"""In capitals, as the rules compare them."""

RIGHTS = frozenset({"C", "P"})
OPEN_CLOSE = frozenset({"O", "C"})
TRADE_LEVELS = frozenset({"EXECUTION", "ORDER", "CLOSED_LOT", "SYMBOL_SUMMARY", "ASSET_SUMMARY", "WASH_SALE"})
TRADE_ROWS = frozenset({"Trade", "Order", "Lot", "SymbolSummary", "AssetSummary", "WashSale"})
"""Elements of the Trades section; all but the first two are check data."""

NOTES = frozenset({
    "A", "ADR", "AEx", "AFx", "Adj", "Al", "Aw", "B", "Bo", "C", "CD", "CP", "Ca", "Co", "Cx", "D", "ETF", "Ep", "Ex",
    "FP", "G", "GEA", "HC", "HFI", "HFR", "I", "IA", "INV", "L", "LD", "LF", "LI", "LT", "Lo", "M", "MEx", "ML", "MLG",
    "MLL", "MSG", "MSL", "O", "P", "PI", "Po", "Pr", "R", "RED", "RI", "RP", "Rb", "Re", "Ri", "SI", "SL", "SO", "SS",
    "ST", "SY", "T",
})  # fmt: skip
"""Codes of IB's reporting guide, and those that only users of statements report (ADR, AFx, D, FP, LF, RP)."""

CURRENCIES = frozenset({
    "AED", "AFN", "ALL", "AMD", "AOA", "ARS", "AUD", "AWG", "AZN", "BAM", "BBD", "BDT", "BHD", "BIF", "BMD", "BND",
    "BOB", "BOV", "BRL", "BSD", "BTN", "BWP", "BYN", "BZD", "CAD", "CDF", "CHE", "CHF", "CHW", "CLF", "CLP", "CNY",
    "COP", "COU", "CRC", "CUP", "CVE", "CZK", "DJF", "DKK", "DOP", "DZD", "EGP", "ERN", "ETB", "EUR", "FJD", "FKP",
    "GBP", "GEL", "GHS", "GIP", "GMD", "GNF", "GTQ", "GYD", "HKD", "HNL", "HTG", "HUF", "IDR", "ILS", "INR", "IQD",
    "IRR", "ISK", "JMD", "JOD", "JPY", "KES", "KGS", "KHR", "KMF", "KPW", "KRW", "KWD", "KYD", "KZT", "LAK", "LBP",
    "LKR", "LRD", "LSL", "LYD", "MAD", "MDL", "MGA", "MKD", "MMK", "MNT", "MOP", "MRU", "MUR", "MVR", "MWK", "MXN",
    "MXV", "MYR", "MZN", "NAD", "NGN", "NIO", "NOK", "NPR", "NZD", "OMR", "PAB", "PEN", "PGK", "PHP", "PKR", "PLN",
    "PYG", "QAR", "RON", "RSD", "RUB", "RWF", "SAR", "SBD", "SCR", "SDG", "SEK", "SGD", "SHP", "SLE", "SOS", "SRD",
    "SSP", "STN", "SVC", "SYP", "SZL", "THB", "TJS", "TMT", "TND", "TOP", "TRY", "TTD", "TWD", "TZS", "UAH", "UGX",
    "USD", "USN", "UYI", "UYU", "UYW", "UZS", "VED", "VES", "VND", "VUV", "WST", "XAF", "XAG", "XAU", "XCD", "XCG",
    "XDR", "XOF", "XPD", "XPF", "XPT", "XSU", "XUA", "YER", "ZAR", "ZMW", "ZWG",
    "ANG", "BGN", "BYR", "CUC", "HRK", "LTL", "MRO", "SLL", "STD", "VEF", "ZWL",
    "CNH", "RUS",
})  # fmt: skip
"""ISO 4217 without its codes for tests and for no currency; those withdrawn since 2014; and IB's own two."""
