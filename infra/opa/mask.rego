# What the decision log leaves out: the input may hold what people typed. The App Store keeps its digest, and the id of
# the decision in this log.
package system.log

import rego.v1

mask contains "/input"

mask contains "/result"
