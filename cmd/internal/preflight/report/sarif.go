package report

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/url"

	"github.com/chunkfill/chunkfill/cmd/internal/preflight"
)

// The part of SARIF 2.1.0 (OASIS standard, March 2020) that code scanning reads.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool    sarifTool     `json:"tool"`
		Results []sarifResult `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name           string      `json:"name"`
		InformationURI string      `json:"informationUri"`
		Rules          []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID               string    `json:"id"`
		Name             string    `json:"name"`
		ShortDescription sarifText `json:"shortDescription"`
		FullDescription  sarifText `json:"fullDescription"`
		Help             sarifText `json:"help"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifResult struct {
		RuleID       string            `json:"ruleId"`
		Level        string            `json:"level"`
		Message      sarifText         `json:"message"`
		Locations    []sarifLocation   `json:"locations,omitempty"`
		Fingerprints map[string]string `json:"partialFingerprints"`
	}
	sarifLocation struct {
		Physical sarifPhysical `json:"physicalLocation"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   sarifRegion   `json:"region"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		StartLine   int `json:"startLine"`
		StartColumn int `json:"startColumn"`
		EndLine     int `json:"endLine"`
	}
)

func writeSARIF(out io.Writer, r *preflight.Report) error {
	driver := sarifDriver{Name: "chunkfill preflight", InformationURI: "https://github.com/chunkfill/chunkfill"}
	for _, rule := range preflight.Rules() {
		driver.Rules = append(driver.Rules, sarifRule{rule.Code, rule.Name, sarifText{rule.What}, sarifText{rule.Why}, sarifText{rule.Fix}})
	}
	run := sarifRun{Tool: sarifTool{driver}, Results: []sarifResult{}}
	for _, f := range r.Findings {
		run.Results = append(run.Results, result(f))
	}
	return encode(out, sarifLog{"https://json.schemastore.org/sarif-2.1.0.json", "2.1.0", []sarifRun{run}})
}

func result(f preflight.Finding) sarifResult {
	res := sarifResult{RuleID: f.Code, Level: level(f), Message: sarifText{message(f)},
		Fingerprints: map[string]string{"statement/v1": fingerprint(f)}}
	if f.Path != preflight.BodyName { // the body is not a file
		res.Locations = []sarifLocation{{sarifPhysical{sarifArtifact{(&url.URL{Path: f.Path}).String()},
			sarifRegion{f.Line, f.Column, f.EndLine}}}}
	}
	return res
}

// fingerprint returns an identifier that stays the same when lines move.
func fingerprint(f preflight.Finding) string {
	sum := sha256.Sum256([]byte(f.Code + "\x00" + f.Path + "\x00" + f.Statement))
	return hex.EncodeToString(sum[:8])
}
