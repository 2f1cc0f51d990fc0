"""A differentiable particle-network model of lithium-ion cathodes."""

from . import bodies as bodies
from . import constants as constants
from . import curves as curves
from . import edges as edges
from . import fronts as fronts
from . import graphs as graphs
from . import kinetics as kinetics
from . import materials as materials
from . import network as network
from . import open_circuit as open_circuit
from . import presets as presets
from . import protocol as protocol
from . import solver as solver
from . import topology as topology
from .batches import batch as batch
from .batches import stack as stack
from .columns import RadialMesh as RadialMesh
from .electrode import Curves as Curves
from .electrode import Electrode as Electrode
from .network import Network as Network
from .protocol import Protocol as Protocol
from .resolve import resolve as resolve
from .results import RESULTS as RESULTS
from .simulate import SimulationError as SimulationError
from .simulate import simulate as simulate
from .solution import Solution as Solution
