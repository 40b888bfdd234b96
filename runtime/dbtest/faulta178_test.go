package dbtest

import (
	"slices"
	"testing"

	lockspire "github.com/lockspire/lockspire/runtime"
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

func TestA179FaultAtEachConnectionIs503(t *testing.T) {
	t.Parallel()
	r := newFaultRig(t, lockspire.PostgreSQL)
	r.thrifty = true
	r.all(t, faultsConnecting, faultFlows)
}

func TestA178FaultAtEachStatementOfRunIsMadeUpAtItsNextTurn(t *testing.T) {
	faultOnEngines(t, faultsBroken, faultBackground)
}
