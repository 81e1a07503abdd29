"""The market in memory: the executable specification of the contract, and a ledger for tests and dry runs."""

from .ledger import MemoryLedger as MemoryLedger
from .market import Call as Call
from .market import MemoryMarket as MemoryMarket
from .market import Verification as Verification
from .money import surplus_wei as surplus_wei
from .world import World as World
