"""The order book: offers and pools of a network at one ledger, and payment paths over them."""
