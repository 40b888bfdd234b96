package dbtest

import (
	"slices"
	"testing"
)

func TestA178FaultAtEachStatementAndCommitHalfIssuesNothing(t *testing.T) {
	faultOnEngines(t, faultsBroken, slices.Concat(faultFlows, faultCalls))
}

func TestA178FaultAtEachStatementLeavesOneActiveKey(t *testing.T) {
	faultOnEngines(t, faultsBroken, faultKeys)
}

func TestA179PassingFaultsAreRetriedWholeAndLastingOnesAre503(t *testing.T) {
	faultOnEngines(t, faultsPassing, slices.Concat(faultFlows, faultCalls))
}
