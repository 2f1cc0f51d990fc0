"""The structured Rosenbrock scheme: what floor 5 needs of it."""

from .accepted import MANY_SITES as MANY_SITES
from .blocks import AbstractFactors as AbstractFactors
from .blocks import DenseLU as DenseLU
from .blocks import Krylov as Krylov
from .blocks import SparseLU as SparseLU
from .integrate import StepOutcome as StepOutcome
from .integrate import Track as Track
from .integrate import integrate_step as integrate_step
from .march import Tolerances as Tolerances
from .quiet import Quiet as Quiet
from .rosenbrock import evaluate_polynomial as evaluate_polynomial
from .system import System as System
from .tableaus import RODAS4P2 as RODAS4P2
from .tableaus import RODAS5P as RODAS5P
from .tableaus import Tableau as Tableau
