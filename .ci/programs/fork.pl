# Forks that write to what they inherited.
my %words = map { $_ => [1 .. 20] } 1 .. 5000;
for my $round (1 .. 8) {
    my $pid = fork // die;
    if ($pid == 0) {
        $words{$_}[0]++ for grep { $_ % $round == 0 } keys %words;
        my $text = 'x' x 500_000;
        select undef, undef, undef, 0.01;
        exit 0;
    }
    push @{ $words{$_} }, $round for 1 .. 500;
    waitpid $pid, 0;
}
