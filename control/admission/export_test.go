package admission

import "github.com/weftmesh/weft/control/problem"

// Classified says whether a code is in the table.
func Classified(c problem.Code) bool { _, ok := classes[c]; return ok }
