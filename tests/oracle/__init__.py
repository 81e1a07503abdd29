"""The market in memory: an oracle for the contract, and a fast market for tests."""

from .base import Gate as Gate
from .base import SumcheckVerification as SumcheckVerification
from .base import Verification as Verification
from .chain import World as World
from .ledger import MemoryLedger as MemoryLedger
from .market import MemoryMarket as MemoryMarket
