#!/usr/bin/perl
# Reads what `redis-cli monitor` printed, writes the gate's calls as Redis's protocol. The gate's script is the one
# whose calls are the most bytes; delivery's scripts are called with keys only.
use strict;
use warnings;

my (%lines, %bytes);
while (my $line = <STDIN>) {
    chomp $line;
    next unless $line =~ s/^[0-9.]+ \[[^\]]*\] //;
    next unless $line =~ /^"evalsha" "([0-9a-f]{40})"/i;
    push @{ $lines{$1} }, $line;
    $bytes{$1} += length $line;
}
my ($gate) = sort { $bytes{$b} <=> $bytes{$a} } keys %bytes;
die "no script call was recorded\n" unless defined $gate;

my %named = (n => "\n", r => "\r", t => "\t", a => "\a", b => "\b");
binmode STDOUT;
for my $line (@{ $lines{$gate} }) {
    my @words;
    while ($line =~ /"((?:[^"\\]|\\.)*)"/g) {
        my $word = $1;
        $word =~ s/\\(x[0-9a-f]{2}|.)/length $1 == 3 ? chr hex substr $1, 1 : $named{$1} \/\/ $1/ge;
        push @words, $word;
    }
    print '*', scalar(@words), "\r\n", map { '$' . length($_) . "\r\n$_\r\n" } @words;
}
