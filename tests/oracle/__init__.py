"""A chain in memory for the market that the package recomputes: an oracle for the contract, and a fast market for tests."""

from omnilytics_flwr.audit.market_base import Gate as Gate
from omnilytics_flwr.audit.memory_market import MemoryMarket as MemoryMarket
from omnilytics_flwr.audit.verifications import ComputedVerification as ComputedVerification
from omnilytics_flwr.audit.verifications import SumcheckVerification as SumcheckVerification
from omnilytics_flwr.audit.verifications import Verification as Verification

from .chain import World as World
from .ledger import MemoryLedger as MemoryLedger
