// Prometheus' own parser and rules for native histograms, on scrapes in its protobuf format. Built by wrangler/setup.sh where
// there is a Go toolchain.
//
//	promread FILE…
//
// Each file is the body of a scrape, all of one target, one after the other. Prints a line of JSON for everything that the
// parser finds, and for each native histogram whether Prometheus takes it for one that was reset since the scrape before.
// Fails where the parser or its rules refuse anything.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"os"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
)

const contentType = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"

// What is in force for a family until the next begins.
type line struct {
	Scrape int               `json:"scrape"`
	What   string            `json:"what"`
	Name   string            `json:"name,omitempty"`
	Text   string            `json:"text,omitempty"`
	Labels map[string]string `json:"labels,omitempty"`
	Bits   string            `json:"bits,omitempty"`
	Start  int64             `json:"start,omitempty"`
	Native *native           `json:"native,omitempty"`
}

type native struct {
	Schema    int32            `json:"schema"`
	Threshold string           `json:"threshold"`
	Zero      uint64           `json:"zero"`
	Count     uint64           `json:"count"`
	Negative  map[int32]uint64 `json:"negative"`
	Positive  map[int32]uint64 `json:"positive"`
	Reset     bool             `json:"reset"`
}

func bits(value float64) string { return fmt.Sprintf("%016x", math.Float64bits(value)) }

func counts(buckets histogram.BucketIterator[uint64]) map[int32]uint64 {
	found := map[int32]uint64{}
	for buckets.Next() {
		if bucket := buckets.At(); bucket.Count > 0 {
			found[bucket.Index] = bucket.Count
		}
	}
	return found
}

// What was read of each native histogram in the scrape before.
var before = map[string]*histogram.FloatHistogram{}

func read(scrape int, body []byte, say func(line)) error {
	options := textparse.ParserOptions{KeepClassicOnClassicAndNativeHistograms: true}
	parser, err := textparse.New(body, contentType, labels.NewSymbolTable(), options)
	if err != nil {
		return err
	}
	for {
		entry, err := parser.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		found := line{Scrape: scrape}
		var now *histogram.FloatHistogram
		switch entry {
		case textparse.EntryHelp:
			name, help := parser.Help()
			found.What, found.Name, found.Text = "help", string(name), string(help)
		case textparse.EntryType:
			name, kind := parser.Type()
			found.What, found.Name, found.Text = "type", string(name), string(kind)
		case textparse.EntryUnit:
			name, unit := parser.Unit()
			found.What, found.Name, found.Text = "unit", string(name), string(unit)
		case textparse.EntrySeries:
			_, timestamp, value := parser.Series()
			if timestamp != nil {
				return fmt.Errorf("a timestamp, %d", *timestamp)
			}
			found.What, found.Bits = "sample", bits(value)
		case textparse.EntryHistogram:
			_, timestamp, integers, floats := parser.Histogram()
			if timestamp != nil || floats != nil {
				return errors.New("a timestamp, or a histogram of floats")
			}
			if err := integers.Validate(); err != nil {
				return err
			}
			found.What, found.Bits = "native", bits(integers.Sum)
			found.Native = &native{
				Schema: integers.Schema, Threshold: bits(integers.ZeroThreshold),
				Zero: integers.ZeroCount, Count: integers.Count,
				Negative: counts(integers.NegativeBucketIterator()),
				Positive: counts(integers.PositiveBucketIterator()),
			}
			now = integers.ToFloat(nil)
		default:
			return fmt.Errorf("entry %d", entry)
		}
		if entry == textparse.EntrySeries || entry == textparse.EntryHistogram {
			var of labels.Labels
			parser.Labels(&of)
			found.Labels, found.Start = of.Map(), parser.StartTimestamp()
			if now != nil {
				if last, ok := before[of.String()]; ok {
					found.Native.Reset = now.DetectReset(last)
				}
				before[of.String()] = now
			}
		}
		say(found)
	}
}

func main() {
	log.SetFlags(0)
	out := json.NewEncoder(os.Stdout)
	for n, file := range os.Args[1:] {
		body, err := os.ReadFile(file)
		if err != nil {
			log.Fatal(err)
		}
		say := func(found line) {
			if err := out.Encode(found); err != nil {
				log.Fatal(err)
			}
		}
		if err := read(n, body, say); err != nil {
			log.Fatalf("%s: %v", file, err)
		}
	}
}
