r"""Coefficients of stiffly accurate Rosenbrock methods of the Rodas family.

One step of size h for M y' = F(t, y), J = dF/dy, in the form that needs no product
with J (Hairer and Wanner, Solving ODEs II, IV.7):

$$ \left(\frac{M}{h\gamma} - J\right) u_i = F\Big(t + c_i h, y_0 + \sum_{j<i} a_{ij}
   u_j\Big) + \frac{M}{h} \sum_{j<i} C_{ij} u_j + d_i h\, \partial_t F $$

The last two rows of `a` and the last stage make y1 = y0 + sum_j a_{sj} u_j + u_s, and
u_s alone is the error estimate. Dense output over theta in [0, 1]:

$$ y(\theta) = (1 - \theta) y_0 + \theta (y_1 + (1 - \theta)(k_1 + \theta k_2 + …)),
   \quad k = H u $$

Only a, C, H and gamma are stored: c and d are row sums. The order conditions are the
tables' test.
"""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Tableau:
    """One method: stages by rows, lower triangles filled with zeros."""

    name: str
    order: int
    gamma: float
    a: np.ndarray  # (stage, stage), strictly lower
    c_matrix: np.ndarray  # (stage, stage), strictly lower
    dense: np.ndarray  # (power, stage)

    @property
    def num_stages(self) -> int:
        return len(self.a)

    @property
    def standard(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(alpha, Gamma, b) of the textbook form, k = h F(…) + h J Gamma k."""
        gammas = np.linalg.inv(np.eye(self.num_stages) / self.gamma - self.c_matrix)
        weights = self.a[-1].copy()
        weights[-1] = 1.0
        return self.a @ gammas, gammas, weights @ gammas

    @property
    def nodes(self) -> np.ndarray:
        """c_i: the instants of the stages as parts of the step."""
        return self.standard[0].sum(axis=1)

    @property
    def time_weights(self) -> np.ndarray:
        """d_i: the factors of h dF/dt."""
        return self.standard[1].sum(axis=1)


def _lower(rows: list[list[float]]) -> np.ndarray:
    """A square matrix from the rows of its strictly lower triangle."""
    matrix = np.zeros((len(rows) + 1, len(rows) + 1))
    for i, row in enumerate(rows):
        matrix[i + 1, : len(row)] = row
    return matrix


# Steinebach, Improvement of Rosenbrock-Wanner method RODASP, in: Progress in
# Differential-Algebraic Equations II, Springer (2020) 165-184.
_A5 = [7.089566927282776, 4.573591406461604, -8.423496976860259, -0.959280113459775]
RODAS4P2 = Tableau(
    name="Rodas4P2",
    order=4,
    gamma=0.25,
    a=_lower(
        [
            [3.0],
            [0.906377755268814, -0.189707390391685],
            [3.758617027739064, 1.161741776019525, -0.849258085312803],
            _A5,
            [*_A5, 1.0],
        ]
    ),
    c_matrix=_lower(
        [
            [-12.0],
            [-6.354581592719008, 0.338972550544623],
            [-8.575016317114033, -7.606483992117508, 12.22499765012482],
            [
                -5.888975457523102,
                -8.157396617841821,
                24.805546872612922,
                12.790401512796979,
            ],
            [
                -4.408651676063871,
                -6.692003137674639,
                24.625568527593117,
                16.627521966636085,
                -5.714285714285718,
            ],
        ]
    ),
    dense=np.array(
        [
            [
                -5.323528268423303,
                -10.042123754867493,
                17.175254928256965,
                -5.079931171878093,
                -0.016185991706112,
                0.0,
            ],
            [
                6.984505741529879,
                6.914061169603662,
                -0.849178943070653,
                18.104410789349338,
                -3.516963011559032,
                0.0,
            ],
        ]
    ),
)

# Steinebach, Construction of Rosenbrock-Wanner method Rodas5P and numerical benchmarks
# within the Julia Differential Equations package, BIT Numer. Math. 63 (2023) 27.
_A6 = [
    -7.502846399306121,
    2.561846144803919,
    -11.627539656261098,
    -0.18268767659942256,
    0.030198172008377946,
]
RODAS5P = Tableau(
    name="Rodas5P",
    order=5,
    gamma=0.21193756319429014,
    a=_lower(
        [
            [3.0],
            [2.849394379747939, 0.45842242204463923],
            [-6.954028509809101, 2.489845061869568, -10.358996098473584],
            [
                2.8029986275628964,
                0.5072464736228206,
                -0.3988312541770524,
                -0.04721187230404641,
            ],
            _A6,
            [*_A6, 1.0],
            [*_A6, 1.0, 1.0],
        ]
    ),
    c_matrix=_lower(
        [
            [-14.155112264123755],
            [-17.97296035885952, -2.859693295451294],
            [147.12150275711716, -1.41221402718213, 71.68940251302358],
            [
                165.43517024871676,
                -0.4592823456491126,
                42.90938336958603,
                -5.961986721573306,
            ],
            [
                24.854864614690072,
                -3.0009227002832186,
                47.4931110020768,
                5.5814197821558125,
                -0.6610691825249471,
            ],
            [
                30.91273214028599,
                -3.1208243349937974,
                77.79954646070892,
                34.28646028294783,
                -19.097331116725623,
                -28.087943162872662,
            ],
            [
                37.80277123390563,
                -3.2571969029072276,
                112.26918849496327,
                66.9347231244047,
                -40.06618937091002,
                -54.66780262877968,
                -9.48861652309627,
            ],
        ]
    ),
    dense=np.array(
        [
            [
                25.948786856663858,
                -2.5579724845846235,
                10.433815404888879,
                -2.3679251022685204,
                0.524948541321073,
                1.1241088310450404,
                0.4272876194431874,
                -0.17202221070155493,
            ],
            [
                -9.91568850695171,
                -0.9689944594115154,
                3.0438037242978453,
                -24.495224566215796,
                20.176138334709044,
                15.98066361424651,
                -6.789040303419874,
                -6.710236069923372,
            ],
            [
                11.419903575922262,
                2.8879645146136994,
                72.92137995996029,
                80.12511834622643,
                -52.072871366152654,
                -59.78993625266729,
                -0.15582684282751913,
                4.883087185713722,
            ],
        ]
    ),
)
