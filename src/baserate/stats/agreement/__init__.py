"""Do raters agree beyond chance: α, κ, AC1/AC2, percent agreement, informedness."""

from baserate.stats.agreement.cohen import cohen_kappa
from baserate.stats.agreement.informedness import informedness
from baserate.stats.agreement.krippendorff import krippendorff_alpha
from baserate.stats.agreement.pairs import fleiss_kappa, gwet_ac, percent_agreement
from baserate.stats.agreement.result import Agreement

__all__ = [
    "Agreement",
    "cohen_kappa",
    "fleiss_kappa",
    "gwet_ac",
    "informedness",
    "krippendorff_alpha",
    "percent_agreement",
]
