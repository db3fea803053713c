# Installs kpr-sender from this folder, without internet:
#   powershell -ExecutionPolicy Bypass -File install.ps1 [-Prefix FOLDER] [-Python PROGRAM] [-WithoutExtras]
#
# Into PREFIX\VERSION-..., a virtual environment of its own; PREFIX\bin\kpr-send.cmd leads to it once all of it is in
# place. For 64-bit Windows with CPython from python.org.
[CmdletBinding()]
param(
    [string] $Prefix = "$env:ProgramFiles\kpr-sender",
    [string] $Python = '',
    [switch] $WithoutExtras
)
$ErrorActionPreference = 'Stop'
Set-StrictMode -Version 2

$Version = '@VERSION@'
$Pythons = '@PYTHONS@' -split ' '
$Norwegian = (Get-UICulture).Name -match '^(nb|nn|no)'
foreach ($one in 'PYTHONPATH', 'PYTHONHOME', 'PYTHONSTARTUP') { Remove-Item "env:$one" -ErrorAction SilentlyContinue }

function Select-Text([string] $Nb, [string] $En) { if ($Norwegian) { $Nb } else { $En } }

function Stop-Here([string] $Nb, [string] $En) {
    [Console]::Error.WriteLine((Select-Text $Nb $En))
    exit 1
}

function Invoke-Python([string[]] $Command, [string[]] $Arguments) {
    $first, $rest = $Command
    & $first @rest @Arguments
    if ($LASTEXITCODE) { throw "$Command $($Arguments[0]): exit code $LASTEXITCODE" }
}

# What a Python is: version, implementation, processor, and whether it has a global lock. Empty where it does not run.
function Get-Facts([string[]] $Command) {
    $program = 'import platform, sys, sysconfig; print("%d.%d" % sys.version_info[:2], sys.implementation.name, ' +
        'sysconfig.get_platform(), bool(sysconfig.get_config_var(''Py_GIL_DISABLED'')))'
    $program = $program.Replace('"', "'").Replace("''", "'")
    try {
        $first, $rest = $Command
        $said = & $first @rest -I -c $program 2>$null
        if ($LASTEXITCODE -eq 0) { return ($said -split ' ') }
    } catch {
        return $null
    }
    return $null
}

$candidates = if ($Python) { , @($Python) } else { @(foreach ($one in $Pythons) { , @('py', "-$one") }) + , @('python') }
$chosen = $null
$found = @()
foreach ($candidate in $candidates) {
    $facts = Get-Facts $candidate
    if (-not $facts) { continue }
    $found += "$($candidate -join ' ') ($($facts -join ' '))"
    if ($Pythons -contains $facts[0] -and $facts[1] -eq 'cpython' -and $facts[2] -eq 'win-amd64' -and $facts[3] -eq 'False') {
        $chosen = $candidate
        break
    }
}
if (-not $chosen) {
    Stop-Here "Trenger 64-bits Python (CPython) $Pythons fra python.org; fant: $($found -join ', '). En annen: -Python PROGRAM." `
        "Needs 64-bit Python (CPython) $Pythons from python.org; found: $($found -join ', '). Another one: -Python PROGRAM."
}

Set-Location $PSScriptRoot
foreach ($line in Get-Content -Encoding UTF8 SHA256SUMS) {
    $digest, $name = $line -split '  ', 2
    $path = Join-Path $PSScriptRoot $name
    if (-not (Test-Path -LiteralPath $path) -or (Get-FileHash -Algorithm SHA256 -LiteralPath $path).Hash -ne $digest) {
        Stop-Here "Arkivet er ikke som det ble laget ($name): hent det på nytt. Ingenting er installert." `
            "The archive is not as it was made ($name): fetch it again. Nothing is installed."
    }
}

$requirements = if ($WithoutExtras) { 'requirements.txt' } else { 'requirements-all.txt' }
$sum = (Get-FileHash -Algorithm SHA256 SHA256SUMS).Hash.Substring(0, 8).ToLower()
$name = "$Version-$sum-python$($facts[0])$(if ($WithoutExtras) { '-without-extras' })"
$made = Join-Path $Prefix $name
if (-not (Test-Path (Join-Path $made 'complete'))) {
    Select-Text "Installerer kpr-sender $Version i $made" "Installing kpr-sender $Version in $made"
    try {
        if (Test-Path $made) { Remove-Item -Recurse -Force $made }
        Invoke-Python $chosen @('-I', '-m', 'venv', '--without-pip', $made)
        $pip = Join-Path (Get-Item 'wheels\pip-*.whl').FullName 'pip'
        $env:PIP_CONFIG_FILE = 'nul'
        Invoke-Python @((Join-Path $made 'Scripts\python.exe')) @('-I', $pip, '--isolated', 'install', '--quiet', '--no-index',
            '--find-links', 'wheels', '--only-binary', ':all:', '--require-hashes', '--no-cache-dir',
            '--disable-pip-version-check', '--no-warn-script-location', '-r', $requirements)
        Invoke-Python @((Join-Path $made 'Scripts\kpr-send.exe')) @('--version') | Out-Null
        New-Item -ItemType File (Join-Path $made 'complete') | Out-Null
    } catch {
        if (Test-Path $made) { Remove-Item -Recurse -Force $made }
        Stop-Here "Ikke installert: $_" "Not installed: $_"
    }
}
$bin = Join-Path $Prefix 'bin'
$command = Join-Path $bin 'kpr-send.cmd'
New-Item -ItemType Directory -Force $bin | Out-Null
Set-Content -Encoding Ascii "$command.new" "@`"%~dp0..\$name\Scripts\kpr-send.exe`" %*"
Move-Item -Force "$command.new" $command
Select-Text "Ferdig. Prøv det, uten oppsett og uten nett:`n  & '$command' demo`nSå, som den brukeren som skal kjøre det:`n  & '$command' init" `
    "Done. Try it, without configuration and without a network:`n  & '$command' demo`nThen, as the user who is to run it:`n  & '$command' init"
