"""What may the operator choose about sign-in?"""

from tintype.auth.verify import TOKEN_BYTES_MAX
from tintype.config import AuthConfig

FIVE_MINUTES_SECONDS = 300
HOUR_SECONDS = 3600
# The metadata travels in every access token, beside about a kilobyte of other claims, and three
# bytes take four characters there.
METADATA_BYTES_MAX = (TOKEN_BYTES_MAX - 3 * 1024) * 3 // 4

# The choices are the operator's, `[tintype.auth]`.
Settings = AuthConfig
