// Command ledgers reads a framed stream of LedgerCloseMeta with the Go SDK and prints what it took, as the peer of our
// ledger decoder.
//
//	ledgers decode|rows <framed file> <network passphrase>
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/stellar/go-stellar-sdk/ingest"
	"github.com/stellar/go-stellar-sdk/xdr"
)

type report struct {
	Mode         string  `json:"mode"`
	Ledgers      int     `json:"ledgers"`
	Transactions int     `json:"transactions"`
	Operations   int     `json:"operations"`
	Changes      int     `json:"changes"`
	Events       int     `json:"events"`
	Text         int     `json:"text_bytes"`
	Seconds      float64 `json:"seconds"`
	CPUSeconds   float64 `json:"cpu_seconds"`
	PeakRSS      int64   `json:"peak_rss_bytes"`
	Go           string  `json:"go"`
}

func main() {
	if len(os.Args) != 4 || (os.Args[1] != "decode" && os.Args[1] != "rows") {
		fmt.Fprintln(os.Stderr, "usage: ledgers decode|rows <framed file> <network passphrase>")
		os.Exit(2)
	}
	result, err := read(os.Args[1], os.Args[2], os.Args[3])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		os.Exit(1)
	}
}

type stream struct {
	*bufio.Reader
	io.Closer
}

func read(mode, path, passphrase string) (report, error) {
	result := report{Mode: mode, Go: runtime.Version()}
	start, startCPU := time.Now(), cpuSeconds()
	file, err := os.Open(path)
	if err != nil {
		return result, err
	}
	ledgers := xdr.NewStream(stream{bufio.NewReaderSize(file, 1<<20), file})
	defer ledgers.Close()
	for {
		var ledger xdr.LedgerCloseMeta
		if err := ledgers.ReadOne(&ledger); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return result, err
		}
		result.Ledgers++
		if mode == "rows" {
			if err := result.walk(ledger, passphrase); err != nil {
				return result, err
			}
		}
	}
	result.Seconds = time.Since(start).Seconds()
	result.CPUSeconds = cpuSeconds() - startCPU
	result.PeakRSS = peakRSS()
	return result, nil
}

// walk does what an ingestion does with a ledger before it makes rows: transactions with their hashes, the source of
// each operation as text, changes and events.
func (r *report) walk(ledger xdr.LedgerCloseMeta, passphrase string) error {
	reader, err := ingest.NewLedgerTransactionReaderFromLedgerCloseMeta(passphrase, ledger)
	if err != nil {
		return err
	}
	defer reader.Close()
	for {
		tx, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		r.Transactions++
		account := tx.Envelope.SourceAccount()
		r.Text += len(account.ToAccountId().Address())
		for _, operation := range tx.Envelope.Operations() {
			r.Operations++
			source := account
			if operation.SourceAccount != nil {
				source = *operation.SourceAccount
			}
			r.Text += len(source.ToAccountId().Address())
		}
		changes, err := tx.GetChanges()
		if err != nil {
			return err
		}
		r.Changes += len(changes) + len(tx.GetFeeChanges()) + len(tx.GetPostApplyFeeChanges())
		events, err := tx.GetTransactionEvents()
		if err != nil {
			return err
		}
		r.Events += len(events.TransactionEvents) + len(events.DiagnosticEvents)
		for _, operation := range events.OperationEvents {
			r.Events += len(operation)
		}
	}
	return nil
}

func usage() (result syscall.Rusage) {
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &result)
	return result
}

// peakRSS is the largest resident set since the program started; getrusage would count the parent's before exec.
func peakRSS() int64 {
	status, _ := os.ReadFile("/proc/self/status")
	var kilobytes int64
	if _, rest, found := strings.Cut(string(status), "VmHWM:"); found {
		_, _ = fmt.Sscan(rest, &kilobytes)
	}
	return kilobytes * 1024
}

func cpuSeconds() float64 {
	now := usage()
	return float64(now.Utime.Nano()+now.Stime.Nano()) / 1e9
}
